(** The layers of a region: those states that are reached, and lead to the part. Their paths are the inputs of the region. *)

From Coq Require Import ZArith List Lia Bool Arith Permutation.
From Compact Require Import Count.Counting Count.Packed Regions.Inputs Regions.Groups Regions.Layers.
Import ListNotations.
Open Scope nat_scope.

(** Each number once. *)
Fixpoint once (l : list nat) : list nat :=
  match l with [] => [] | x :: rest => let others := once rest in if existsb (Nat.eqb x) others then others else x :: others end.

Lemma in_once : forall x l, In x (once l) <-> In x l.
Proof.
  intros x. induction l as [|y l IH]; [reflexivity|]. cbn [once]. destruct (existsb (Nat.eqb y) (once l)) eqn:E; cbn [In]; rewrite IH; [|tauto].
  apply existsb_exists in E. destruct E as (z & I & E). apply Nat.eqb_eq in E. subst z. split; [tauto|].
  intros [->|]; [now apply IH | assumption].
Qed.

(** Of pairs of a key and a value, the value of the first with this key. *)
Fixpoint value_at {A : Type} (k : nat) (l : list (nat * option A)) : option A :=
  match l with [] => None | (k', v) :: rest => if Nat.eqb k' k then v else value_at k rest end.

(** The lists that are not empty get numbers. *)
Fixpoint numbers {A : Type} (n : nat) (l : list (list A)) : list (option nat) :=
  match l with [] => [] | [] :: rest => None :: numbers n rest | (_ :: _) :: rest => Some n :: numbers (S n) rest end.

Definition not_empty {A : Type} (l : list A) : bool := match l with [] => false | _ => true end.

Section Building.
Variable g : group.

(** The tokens of each symbol. *)
Fixpoint put (s : nat) (a : nat * Z) (l : list (nat * list (nat * Z))) : list (nat * list (nat * Z)) :=
  match l with
  | [] => [(s, [a])]
  | (s', row) :: rest => if Nat.eqb s' s then (s', a :: row) :: rest else (s', row) :: put s a rest
  end.

Definition by_symbol (row : list (nat * Z)) : list (nat * list (nat * Z)) :=
  fold_right (fun a => put (symbol g (fst a)) a) [] row.

Section Moves.
Variable target : nat -> nat -> option nat.  (** state, symbol -> number of the state that follows *)

Fixpoint moves_of (s n : nat) (read : list (nat * list (nat * Z))) : list (nat * nat) :=
  match read with
  | [] => []
  | b :: rest => match target s (fst b) with Some j => (n, j) :: moves_of s (S n) rest | None => moves_of s (S n) rest end
  end.
End Moves.

Variable part : nat.

(** For each state the number that it gets, if it leads to the part; and the layers. All states of the part are one at the end. *)
Fixpoint build (rows : choices) (live : list nat) : list (option nat) * list layer :=
  match rows with
  | [] => (map (fun s => if is_number part (nth s (parts g) None) then Some 0 else None) live, [])
  | row :: rest =>
      let all := by_symbol row in
      let following := once (flat_map (fun s => flat_map (fun b => match after g s (fst b) with Some s' => [s'] | None => [] end) all) live) in
      let built := build rest following in
      let numbered := combine following (fst built) in
      let target s a := match after g s a with Some s' => value_at s' numbered | None => None end in
      let read := filter (fun b => existsb (fun s => match target s (fst b) with Some _ => true | None => false end) live) all in
      let from := map (fun s => moves_of target s 0 read) live in
      (numbers 0 from, Layer (map snd read) (filter not_empty from) :: snd built)
  end.

(** ** Their paths *)

(** Whether the tokens lead from this state to the part. *)
Definition leads (s : nat) (a : list (nat * Z)) : bool :=
  match follow g s (map fst a) with Some e => is_number part (nth e (parts g) None) | None => false end.

Definition leading (s : nat) (rows : choices) : list (list (nat * Z)) := filter (leads s) (product rows).

Definition leading_after (s a : nat) (rows : choices) : list (list (nat * Z)) :=
  match after g s a with Some s' => leading s' rows | None => [] end.

Lemma filter_none : forall (A : Type) (l : list A), filter (fun _ => false) l = [].
Proof. induction l; auto. Qed.

Lemma leading_cons : forall s row rest, leading s (row :: rest) =
  flat_map (fun a => map (cons a) (leading_after s (symbol g (fst a)) rest)) row.
Proof.
  intros s row rest. unfold leading. cbn [product]. induction row as [|a row IH]; [reflexivity|].
  cbn [flat_map]. rewrite filter_app, IH, filter_map. f_equal. f_equal. unfold leading_after, leading, leads. cbn [map follow].
  destruct (after g s (symbol g (fst a))); [reflexivity | apply filter_none].
Qed.

Lemma put_permutes : forall s a l, Permutation (a :: concat (map snd l)) (concat (map snd (put s a l))).
Proof.
  intros s a. induction l as [|[s' row] l IH]; cbn [put map concat snd]; [reflexivity|].
  destruct (Nat.eqb s' s); cbn [map concat snd]; [reflexivity|]. rewrite <- IH. apply Permutation_middle.
Qed.

Lemma by_symbol_permutes : forall row, Permutation row (concat (map snd (by_symbol row))).
Proof.
  induction row as [|a row IH]; [reflexivity|]. cbn [by_symbol fold_right]. rewrite <- put_permutes. now constructor.
Qed.

Definition one_symbol (b : nat * list (nat * Z)) : Prop := Forall (fun a => symbol g (fst a) = fst b) (snd b).

Lemma by_symbol_right : forall row, Forall one_symbol (by_symbol row).
Proof.
  assert (P : forall s a l, symbol g (fst a) = s -> Forall one_symbol l -> Forall one_symbol (put s a l)).
  { intros s a l E. induction l as [|[s' row] l IH]; intros F; cbn [put]; [now repeat constructor|].
    inversion F as [|? ? F1 F2]; subst. destruct (Nat.eqb_spec s' (symbol g (fst a))) as [->|_]; constructor; auto.
    unfold one_symbol in *. cbn [fst snd] in *. now constructor. }
  induction row as [|a row IH]; [constructor|]. cbn [by_symbol fold_right]. now apply P.
Qed.

(** The inputs by the symbols that they begin with. *)
Lemma leading_by_symbol : forall s row rest, Permutation (leading s (row :: rest))
  (flat_map (fun b => flat_map (fun a => map (cons a) (leading_after s (fst b) rest)) (snd b)) (by_symbol row)).
Proof.
  intros s row rest. rewrite leading_cons.
  rewrite (Permutation_flat_map _ (by_symbol_permutes row)).
  pose proof (by_symbol_right row) as R. induction R as [|b l R _ IH]; [reflexivity|].
  cbn [map concat flat_map]. rewrite flat_map_app. apply Permutation_app; [|exact IH].
  unfold one_symbol in R. induction R as [|a row' E _ IH']; [reflexivity|]. cbn [flat_map]. rewrite E. now apply Permutation_app_head.
Qed.

Lemma numbers_right : forall (A : Type) (l before : list (list A)),
  Forall2 (fun ms o => match o with Some j => nth j (before ++ filter not_empty l) [] = ms | None => ms = [] end)
    l (numbers (length before) l).
Proof.
  induction l as [|ms l IH]; intros before; [constructor|]. destruct ms as [|m ms]; cbn [numbers filter not_empty]; constructor.
  - reflexivity.
  - apply IH.
  - rewrite app_nth2, Nat.sub_diag by lia. reflexivity.
  - specialize (IH (before ++ [m :: ms])). rewrite app_length, Nat.add_1_r, <- app_assoc in IH. exact IH.
Qed.

Lemma flat_map_permutes : forall (A B : Type) (f h : A -> list B) l, (forall x, In x l -> Permutation (f x) (h x)) ->
  Permutation (flat_map f l) (flat_map h l).
Proof.
  induction l as [|x l IH]; intros same; [reflexivity|]. cbn [flat_map].
  apply Permutation_app; [apply same; now left | apply IH; intros; apply same; now right].
Qed.

Lemma flat_map_nil : forall (A B : Type) (l : list A), flat_map (fun _ => @nil B) l = [].
Proof. induction l; auto. Qed.

(** A state's number stands for its paths; one that has none has no inputs. *)
Definition stands (rows : choices) (ls : list layer) (s : nat) (o : option nat) : Prop :=
  match o with Some j => Permutation (paths ls j) (leading s rows) | None => leading s rows = [] end.

Lemma value_at_stands : forall rows ls s live index, Forall2 (stands rows ls) live index -> In s live ->
  stands rows ls s (value_at s (combine live index)).
Proof.
  intros rows ls s live index F I. induction F as [|s' o live index S _ IH]; [destruct I|]. cbn [combine value_at].
  destruct (Nat.eqb_spec s' s) as [<-|N]; [exact S|]. destruct I as [E|I]; [now destruct N | now apply IH].
Qed.

Theorem build_right : forall rows live, Forall2 (stands rows (snd (build rows live))) live (fst (build rows live)).
Proof.
  induction rows as [|row rest IH]; intros live; cbn [build fst snd].
  - induction live as [|s live IHl]; [constructor|]. cbn [map]. constructor; [|assumption].
    unfold stands, leading, leads. cbn [product filter map follow]. destruct (is_number part (nth s (parts g) None)); reflexivity.
  - set (all := by_symbol row). set (following := once _). specialize (IH following). set (built := build rest following) in *.
    set (target := fun s a : nat => match after g s a with Some s' => value_at s' (combine following (fst built)) | None => None end).
    set (used := fun b : nat * list (nat * Z) => existsb (fun s => match target s (fst b) with Some _ => true | None => false end) live).
    assert (T : forall s b, In s live -> In b all -> match target s (fst b) with
      | Some j => Permutation (paths (snd built) j) (leading_after s (fst b) rest)
      | None => leading_after s (fst b) rest = [] end).
    { intros s b S B. unfold target, leading_after. destruct (after g s (fst b)) as [s'|] eqn:E; [|reflexivity].
      apply value_at_stands; [exact IH|]. unfold following. apply in_once, in_flat_map. exists s. split; [assumption|].
      apply in_flat_map. exists b. split; [assumption|]. rewrite E. now left. }
    set (from := map _ live).
    assert (F : forall s, In s live -> Permutation (leading s (row :: rest))
      (flat_map (fun m => flat_map (fun a => map (cons a) (paths (snd built) (snd m))) (nth (fst m) (map snd (filter used all)) []))
        (moves_of target s 0 (filter used all)))).
    { intros s S. rewrite leading_by_symbol. fold all.
      transitivity (flat_map (fun b => flat_map (fun a => map (cons a) (leading_after s (fst b) rest)) (snd b)) (filter used all)).
      - assert (sub : forall b, In b all -> In b all) by auto. revert sub. generalize all at 1 3 4. intros l.
        induction l as [|b l IHl]; intros sub; [reflexivity|]. cbn [flat_map filter].
        specialize (IHl ltac:(intros; apply sub; now right)).
        destruct (used b) eqn:U; cbn [flat_map]; [now apply Permutation_app_head|].
        replace (leading_after s (fst b) rest) with (@nil (list (nat * Z))); [cbn [map]; now rewrite flat_map_nil|].
        pose proof (T s b S (sub b ltac:(now left))) as Tb. destruct (target s (fst b)) eqn:E; [exfalso|now symmetry].
        enough (used b = true) by congruence. apply existsb_exists. exists s. split; [assumption|]. now rewrite E.
      - assert (sub : forall b, In b (filter used all) -> In b all) by (intros b B; now apply filter_In in B).
        revert sub. generalize (filter used all). intros l.
        assert (G : forall done, (forall b, In b l -> In b all) ->
          Permutation (flat_map (fun b => flat_map (fun a => map (cons a) (leading_after s (fst b) rest)) (snd b)) l)
            (flat_map (fun m => flat_map (fun a => map (cons a) (paths (snd built) (snd m))) (nth (fst m) (done ++ map snd l) []))
              (moves_of target s (length done) l))).
        { induction l as [|b l IHl]; intros done sub; [reflexivity|]. cbn [flat_map moves_of map].
          specialize (IHl (done ++ [snd b]) ltac:(intros; apply sub; now right)).
          rewrite app_length, Nat.add_1_r, <- app_assoc in IHl.
          pose proof (T s b S (sub b ltac:(now left))) as Tb. destruct (target s (fst b)) as [j|].
          - cbn [flat_map fst snd]. apply Permutation_app; [|exact IHl].
            rewrite app_nth2, Nat.sub_diag by lia. cbn [nth]. apply flat_map_permutes. intros a _. now apply Permutation_map, Permutation_sym.
          - rewrite Tb. cbn [map]. rewrite flat_map_nil. exact IHl. }
        intros sub. exact (G [] sub). }
    pose proof (numbers_right _ from []) as N. cbn [length app] in N.
    assert (G : forall l index, (forall s, In s l -> In s live) ->
      Forall2 (fun ms o => match o with Some j => nth j (filter not_empty from) [] = ms | None => ms = [] end)
        (map (fun s => moves_of target s 0 (filter used all)) l) index ->
      Forall2 (stands (row :: rest) (Layer (map snd (filter used all)) (filter not_empty from) :: snd built)) l index).
    { induction l as [|s l IHl]; intros index sub H; inversion H as [|ms o ? index' A B]; subst; constructor.
      - specialize (F s (sub s ltac:(now left))). destruct o as [j|]; cbn [stands].
        + cbn [paths moves tokens]. rewrite A. now symmetry.
        + rewrite A in F. now apply Permutation_nil, Permutation_sym.
      - apply IHl; [|assumption]. intros; apply sub; now right. }
    apply G; [auto | exact N].
Qed.
End Building.
