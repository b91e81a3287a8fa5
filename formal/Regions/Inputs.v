(** The inputs of a problem: at each position one of its tokens, which have weights; and what sets of inputs weigh. *)

From Coq Require Import ZArith List Lia Bool.
From Compact Require Import Count.Counting Count.Packed.
Import ListNotations.
Open Scope Z_scope.

(** By position: each token that can stand there, with its weight. *)
Definition choices := list (list (nat * Z)).

Definition distinct (c : choices) : Prop := Forall (fun row => NoDup (map fst row)) c.
Definition positive (c : choices) : Prop := Forall (Forall (fun a => 0 < snd a)) c.

Definition inputs (c : choices) : list (list nat) := product (map (map fst) c).

(** Of a token that is not among them, 0. *)
Definition weight_at (row : list (nat * Z)) (t : nat) : Z :=
  match find (fun a => Nat.eqb (fst a) t) row with Some a => snd a | None => 0 end.

(** The product of the weights of its tokens. *)
Fixpoint weight_in (c : choices) (x : list nat) : Z :=
  match c, x with
  | [], [] => 1
  | row :: rest, t :: x' => weight_at row t * weight_in rest x'
  | _, _ => 0
  end.

(** The sum over all inputs of a number, times the weight. *)
Fixpoint sum_of (f : list nat -> Z) (c : choices) : Z :=
  match c with
  | [] => f []
  | row :: rest => add_up (map (fun a => snd a * sum_of (fun x => f (fst a :: x)) rest) row)
  end.

Definition one_if (b : bool) : Z := if b then 1 else 0.

(** What the inputs with a property weigh. *)
Definition weigh (P : list nat -> bool) (c : choices) : Z := sum_of (fun x => one_if (P x)) c.

(** ** Sums *)

Lemma product_map_fst : forall c : choices, inputs c = map (map fst) (product c).
Proof. intros. unfold inputs. now rewrite product_map. Qed.

Lemma in_inputs : forall c x, In x (inputs c) <-> exists a, In a (product c) /\ map fst a = x.
Proof. intros c x. rewrite product_map_fst, in_map_iff. split; intros (a & A & B); now exists a. Qed.

Lemma inputs_cons : forall row rest t x, In (t :: x) (inputs (row :: rest)) <-> In t (map fst row) /\ In x (inputs rest).
Proof.
  intros row rest t x. unfold inputs. cbn [map]. rewrite !in_product. split.
  - intros H. inversion H; subst. now split.
  - intros [A B]. now constructor.
Qed.

Lemma inputs_length : forall c x, In x (inputs c) -> length x = length c.
Proof.
  intros c x I. apply in_product in I. rewrite <- (map_length (map fst) c). induction I; simpl; congruence.
Qed.

(** Of a choice of tokens with their weights. *)
Definition weight_along (a : list (nat * Z)) : Z := multiply (map snd a).

Lemma sum_of_product : forall c f,
  sum_of f c = add_up (map (fun a => weight_along a * f (map fst a)) (product c)).
Proof.
  induction c as [|row rest IH]; intros f; cbn [sum_of product].
  - unfold weight_along. cbn [map multiply add_up]. now destruct (f []).
  - induction row as [|a row IHrow]; [reflexivity|]. cbn [map add_up flat_map].
    rewrite IHrow, map_app, add_up_app, IH, map_map. f_equal. rewrite <- add_up_scale. f_equal.
    apply map_ext. intros b. unfold weight_along. cbn [map multiply]. ring.
Qed.

Lemma sum_of_ext : forall c f g, (forall x, In x (inputs c) -> f x = g x) -> sum_of f c = sum_of g c.
Proof.
  intros c f g same. rewrite !sum_of_product. f_equal. apply map_ext_in. intros a I. rewrite same; [reflexivity|].
  apply in_inputs. now exists a.
Qed.

Lemma sum_of_plus : forall c f g, sum_of (fun x => f x + g x) c = sum_of f c + sum_of g c.
Proof.
  intros c f g. rewrite !sum_of_product, <- add_up_plus. f_equal. apply map_ext. intros a. ring.
Qed.

Lemma weight_along_positive : forall c a, positive c -> In a (product c) -> 0 < weight_along a.
Proof.
  intros c a P I. apply in_product in I. unfold weight_along. induction I as [|b row a' rest J _ IH]; [cbn; lia|].
  inversion P as [|? ? P1 P2]; subst. rewrite Forall_forall in P1. specialize (P1 b J). specialize (IH P2).
  cbn [map multiply]. nia.
Qed.

Lemma sum_of_le : forall c f g, positive c -> (forall x, In x (inputs c) -> f x <= g x) -> sum_of f c <= sum_of g c.
Proof.
  intros c f g P less. rewrite !sum_of_product. apply add_up_le. intros a I.
  pose proof (weight_along_positive c a P I). specialize (less (map fst a) ltac:(apply in_inputs; now exists a)). nia.
Qed.

Lemma sum_of_0 : forall c, sum_of (fun _ => 0) c = 0.
Proof.
  intros c. rewrite sum_of_product. induction (product c) as [|a l IH]; [reflexivity|]. cbn [map add_up]. rewrite IH. ring.
Qed.

(** ** Weights of sets *)

Lemma weigh_ext : forall c P Q, (forall x, In x (inputs c) -> P x = Q x) -> weigh P c = weigh Q c.
Proof. intros c P Q same. apply sum_of_ext. intros x I. now rewrite same. Qed.

Lemma weigh_nonneg : forall c P, positive c -> 0 <= weigh P c.
Proof.
  intros c P pos. rewrite <- (sum_of_0 c). apply sum_of_le; [assumption|]. intros x _. unfold one_if. destruct (P x); lia.
Qed.

Lemma weigh_le : forall c P Q, positive c -> (forall x, In x (inputs c) -> P x = true -> Q x = true) -> weigh P c <= weigh Q c.
Proof.
  intros c P Q pos implied. apply sum_of_le; [assumption|]. intros x I. specialize (implied x I). unfold one_if.
  destruct (P x), (Q x); try lia; now specialize (implied eq_refl).
Qed.

Lemma weigh_split : forall c P Q,
  weigh P c = weigh (fun x => P x && Q x) c + weigh (fun x => P x && negb (Q x)) c.
Proof.
  intros c P Q. unfold weigh. rewrite <- sum_of_plus. apply sum_of_ext. intros x _. unfold one_if.
  destruct (P x), (Q x); reflexivity.
Qed.

Lemma weigh_or : forall c P Q, positive c -> weigh (fun x => P x || Q x) c <= weigh P c + weigh Q c.
Proof.
  intros c P Q pos. unfold weigh. rewrite <- sum_of_plus. apply sum_of_le; [assumption|]. intros x _. unfold one_if.
  destruct (P x), (Q x); cbn [orb]; lia.
Qed.

(** Of sets that have no input in common. *)
Lemma weigh_disjoint : forall c P Q, (forall x, In x (inputs c) -> P x = true -> Q x = false) ->
  weigh (fun x => P x || Q x) c = weigh P c + weigh Q c.
Proof.
  intros c P Q apart. unfold weigh. rewrite <- sum_of_plus. apply sum_of_ext. intros x I. specialize (apart x I). unfold one_if.
  destruct (P x), (Q x); cbn [orb]; try lia; now specialize (apart eq_refl).
Qed.

Lemma weigh_none : forall c P, (forall x, In x (inputs c) -> P x = false) -> weigh P c = 0.
Proof. intros c P none. rewrite <- (sum_of_0 c). apply sum_of_ext. intros x I. now rewrite none. Qed.

(** If a set weighs nothing, it is empty. *)
Lemma weigh_0 : forall c P x, positive c -> weigh P c = 0 -> In x (inputs c) -> P x = false.
Proof.
  induction c as [|row rest IH]; intros P x pos zero I.
  - apply in_inputs in I. destruct I as (a & [<-|[]] & <-). unfold weigh in zero. cbn in *. now destruct (P []).
  - destruct x as [|t x]; [apply inputs_length in I; discriminate|]. apply inputs_cons in I. destruct I as [I J].
    inversion pos as [|? ? pos1 pos2]; subst. rewrite in_map_iff in I. destruct I as (a & <- & I).
    apply (IH (fun x => P (fst a :: x))); [assumption | | assumption].
    unfold weigh in zero. cbn [sum_of] in zero. clear J. rewrite Forall_forall in pos1.
    assert (N : forall b, In b row -> 0 <= snd b * sum_of (fun x => one_if (P (fst b :: x))) rest).
    { intros b B. pose proof (pos1 b B). pose proof (weigh_nonneg rest (fun x => P (fst b :: x)) pos2). unfold weigh in *. nia. }
    assert (G : snd a * sum_of (fun x => one_if (P (fst a :: x))) rest <= 0).
    { rewrite <- zero. clear zero pos1 pos. induction row as [|b row IHrow]; [destruct I|]. cbn [map add_up].
      assert (R : 0 <= add_up (map (fun a => snd a * sum_of (fun x => one_if (P (fst a :: x))) rest) row)).
      { clear IHrow I. induction row as [|d row IHrow]; cbn [map add_up]; [lia|].
        pose proof (N d ltac:(right; now left)).
        assert (0 <= add_up (map (fun a => snd a * sum_of (fun x => one_if (P (fst a :: x))) rest) row)).
        { apply IHrow. intros e [<-|E]; apply N; [now left | right; now right]. } lia. }
      pose proof (N b ltac:(now left)). destruct I as [->|I]; [lia|].
      specialize (IHrow I ltac:(intros e E; apply N; now right)). lia. }
    pose proof (pos1 a I). pose proof (weigh_nonneg rest (fun x => P (fst a :: x)) pos2). unfold weigh in *. nia.
Qed.

(** ** Each input once *)

Lemma inputs_NoDup : forall c, distinct c -> NoDup (inputs c).
Proof. intros c D. apply product_NoDup. unfold distinct in D. now rewrite Forall_map. Qed.

Lemma weight_at_member : forall row a, NoDup (map fst row) -> In a row -> weight_at row (fst a) = snd a.
Proof.
  intros row a. unfold weight_at. induction row as [|b row IH]; intros U I; [destruct I|]. cbn [find].
  inversion U as [|? ? U1 U2]; subst. destruct I as [->|I]; [now rewrite Nat.eqb_refl|].
  destruct (Nat.eqb_spec (fst b) (fst a)) as [E|_]; [|now apply IH].
  exfalso. apply U1. rewrite E. now apply in_map.
Qed.

Lemma weight_in_member : forall c a, distinct c -> In a (product c) -> weight_in c (map fst a) = weight_along a.
Proof.
  intros c a D I. apply in_product in I. unfold weight_along. induction I as [|b row a' rest J _ IH]; [reflexivity|].
  inversion D as [|? ? D1 D2]; subst. cbn [map weight_in multiply]. now rewrite IH, weight_at_member.
Qed.

Theorem weigh_inputs : forall c P, distinct c -> weigh P c = add_up (map (weight_in c) (filter P (inputs c))).
Proof.
  intros c P D. unfold weigh. rewrite sum_of_product, product_map_fst.
  assert (G : forall l, (forall a, In a l -> In a (product c)) ->
    add_up (map (fun a => weight_along a * one_if (P (map fst a))) l) =
    add_up (map (weight_in c) (filter P (map (map fst) l)))).
  { induction l as [|a l IH]; intros sub; [reflexivity|]. cbn [map add_up filter].
    rewrite IH by (intros b B; apply sub; now right). unfold one_if. destruct (P (map fst a)); cbn [map add_up]; [|lia].
    rewrite weight_in_member; [lia | assumption | apply sub; now left]. }
  now apply G.
Qed.

(** ** Only some tokens at one position *)

Fixpoint restrict (P : nat -> bool) (r : nat) (c : choices) : choices :=
  match c, r with
  | [], _ => []
  | row :: rest, O => filter (fun a => P (fst a)) row :: rest
  | row :: rest, S r' => row :: restrict P r' rest
  end.

Lemma restrict_positive : forall P c r, positive c -> positive (restrict P r c).
Proof.
  unfold positive. induction c as [|row rest IH]; intros r pos; [destruct r; constructor|].
  inversion pos as [|? ? pos1 pos2]; subst. destruct r; cbn [restrict]; constructor; [|assumption | assumption | now apply IH].
  rewrite Forall_forall in *. intros a I. apply filter_In in I. now apply pos1.
Qed.

Lemma restrict_length : forall P c r, length (restrict P r c) = length c.
Proof. induction c as [|row rest IH]; intros [|r]; cbn [restrict length]; auto. Qed.

Lemma in_restrict : forall P c r x, (r < length c)%nat ->
  (In x (inputs (restrict P r c)) <-> In x (inputs c) /\ P (nth r x 0%nat) = true).
Proof.
  induction c as [|row rest IH]; intros r x small; [simpl in small; lia|].
  destruct x as [|t x].
  { split; intros H; [|destruct H as [H _]]; apply inputs_length in H; rewrite ?restrict_length in H; discriminate. }
  destruct r as [|r]; cbn [restrict]; rewrite !inputs_cons.
  - cbn [nth]. rewrite !in_map_iff. split.
    + intros [(a & <- & I) J]. apply filter_In in I. destruct I as [I Q]. repeat split; [now exists a | assumption | assumption].
    + intros [[(a & <- & I) J] Q]. split; [|assumption]. exists a. split; [reflexivity|]. now apply filter_In.
  - cbn [nth]. rewrite IH by (simpl in small; lia). tauto.
Qed.

Lemma sum_of_restrict : forall P c r f, (r < length c)%nat ->
  sum_of f (restrict P r c) = sum_of (fun x => if P (nth r x 0%nat) then f x else 0) c.
Proof.
  induction c as [|row rest IH]; intros r f small; [simpl in small; lia|].
  destruct r as [|r]; cbn [restrict sum_of].
  - clear small. induction row as [|a row IHrow]; [reflexivity|]. cbn [filter map add_up]. rewrite <- IHrow. cbn [nth].
    destruct (P (fst a)); cbn [map add_up]; [reflexivity|]. rewrite sum_of_0. lia.
  - f_equal. apply map_ext. intros a. f_equal. apply (IH r (fun x => f (fst a :: x))). simpl in small. lia.
Qed.

Lemma weigh_restrict : forall P c r Q, (r < length c)%nat ->
  weigh Q (restrict P r c) = weigh (fun x => Q x && P (nth r x 0%nat)) c.
Proof.
  intros. unfold weigh. rewrite sum_of_restrict by assumption. apply sum_of_ext. intros x _. unfold one_if.
  now destruct (Q x), (P (nth r x 0%nat)).
Qed.
