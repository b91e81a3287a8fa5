(** Sequences of tokens, one of each row, whose vectors are added up: how many end below 0 in every entry. Bundles whose
    largest continuation ends there are counted at once. *)

From Coq Require Import ZArith List Lia Bool.
From Compact Require Import Integer.Matrix Count.Counting.
Import ListNotations.
Open Scope Z_scope.

(** A token, what it adds for each wrong token, and how far that may be too high. *)
Record choice := Choice { token : nat; terms : list Z; doubt : Z }.

Notation plus := (zip Z.add).

Definition total (start : list Z) (cs : list choice) : list Z := fold_left (fun sum c => plus sum (terms c)) cs start.
Definition total_doubt (start : Z) (cs : list choice) : Z := fold_left (fun sum c => sum + doubt c) cs start.

Definition negative (a : list Z) : bool := forallb (fun x => x <? 0) a.

(** [negative (plus a b)] *)
Fixpoint sum_negative (a b : list Z) : bool :=
  match a, b with x :: a', y :: b' => (x + y <? 0) && sum_negative a' b' | _, _ => true end.

(** The extreme of each entry, over several vectors. *)
Definition extreme (best : Z -> Z -> Z) (vectors : list (list Z)) : list Z :=
  match vectors with [] => [] | first :: rest => fold_right (zip best) first rest end.

Record level := Level {
  choices : list choice;
  most : list Z; least : list Z;  (** of what this row and those after it can add *)
  holding : option (list Z);      (** the most that they can add if [m] is among them, if it can be *)
  all_ways : Z; ways_holding : Z }.

Section Walk.
Variables (m : nat) (quick : bool).
Variable surely_wrong : list nat -> list Z -> Z -> bool.

Definition is_m (c : choice) : bool := Nat.eqb (token c) m.

Definition most_of (n : nat) (ls : list level) : list Z := match ls with [] => repeat 0 n | l :: _ => most l end.
Definition holding_of (ls : list level) : option (list Z) := match ls with [] => None | l :: _ => holding l end.

(** The most that follows: any tokens, or if [m] is still missing, tokens that hold it. *)
Definition most_after (n : nat) (seen : bool) (ls : list level) : option (list Z) :=
  if seen then Some (most_of n ls) else holding_of ls.

Fixpoint levels (n : nat) (rows : list (list choice)) : list level :=
  match rows with
  | [] => []
  | row :: rest =>
      let after := levels n rest in
      let largest := extreme Z.max (map terms row) in
      let now := map (fun c => plus (terms c) (most_of n after)) (filter is_m row) in
      let later := match holding_of after with None => [] | Some b => [plus largest b] end in
      {| choices := row; most := plus largest (most_of n after);
         least := plus (extreme Z.min (map terms row)) (match after with [] => repeat 0 n | l :: _ => least l end);
         holding := match now ++ later with [] => None | vectors => Some (extreme Z.max vectors) end;
         all_ways := ways rows; ways_holding := ways_with is_m rows |} :: after
  end.

(** How many sequences are below 0 everywhere and hold [m], how many hold [m] and are surely wrong, and how many steps
    are left; when there are none, nothing more is counted. [seen]: the tokens so far hold [m]. With [quick] wrong
    sequences are not asked for. *)
Fixpoint walk (ls : list level) (seen : bool) (sum : list Z) (doubts : Z) (tokens : list nat) (left : Z) : Z * Z * Z :=
  match ls with
  | [] =>
      if seen then
        if negative sum then (1, 0, left) else (0, if surely_wrong tokens sum doubts then 1 else 0, left)
      else (0, 0, left)
  | l :: rest =>
      match (if seen then Some (most l) else holding l) with
      | None => (0, 0, left)
      | Some top =>
          if sum_negative sum top then ((if seen then all_ways l else ways_holding l), 0, left)
          else if quick && negb (sum_negative sum (least l)) then (0, 0, left)
          else
            let remaining := left - Z.of_nat (length (choices l)) in
            if remaining <? 0 then (0, 0, remaining)
            else fold_left (fun found c =>
                   let '(c0, w0, left0) := found in
                   let '(c1, w1, left1) :=
                     walk rest (seen || is_m c) (plus sum (terms c)) (doubts + doubt c) (token c :: tokens) left0 in
                   (c0 + c1, w0 + w1, left1)) (choices l) (0, 0, remaining)
      end
  end.

Definition correct_of (found : Z * Z * Z) : Z := fst (fst found).
Definition wrong_of (found : Z * Z * Z) : Z := snd (fst found).
Definition left_of (found : Z * Z * Z) : Z := snd found.

(** ** Vectors, entry by entry *)

Notation below := (Forall2 Z.le).

Lemma below_refl : forall a, below a a.
Proof. induction a; constructor; [lia | assumption]. Qed.

Lemma below_trans : forall a b c, below a b -> below b c -> below a c.
Proof.
  intros a b c H. revert c. induction H; intros c J; inversion J; subst; constructor; [lia | auto].
Qed.

Lemma plus_mono : forall a a' b b', below a a' -> below b b' -> below (plus a b) (plus a' b').
Proof.
  intros a a' b b' H. revert b b'. induction H; intros b b' J; [constructor|].
  destruct J; constructor; [lia | auto].
Qed.

Lemma plus_assoc : forall a b c, plus (plus a b) c = plus a (plus b c).
Proof.
  induction a as [|x a IH]; intros [|y b] [|z c]; try reflexivity. cbn [zip]. rewrite IH. f_equal. lia.
Qed.

Lemma plus_0 : forall a n, length a = n -> plus a (repeat 0 n) = a.
Proof. induction a as [|x a IH]; intros [|n] L; try discriminate; [reflexivity|]. cbn. rewrite IH by (simpl in L; lia). f_equal. lia. Qed.

Lemma zip_max_l : forall a b, length a = length b -> below a (zip Z.max a b).
Proof. induction a as [|x a IH]; intros [|y b] L; try discriminate; constructor; [lia | apply IH; simpl in L; lia]. Qed.

Lemma zip_max_r : forall a b, length a = length b -> below b (zip Z.max a b).
Proof. induction a as [|x a IH]; intros [|y b] L; try discriminate; constructor; [lia | apply IH; simpl in L; lia]. Qed.

Lemma negative_below : forall a b, below a b -> negative b = true -> negative a = true.
Proof.
  intros a b H. induction H as [|x y a b xy _ IH]; [reflexivity|]. cbn. rewrite !andb_true_iff, !Z.ltb_lt.
  intros [? ?]. split; [lia | auto].
Qed.

Lemma sum_negative_plus : forall a b, sum_negative a b = negative (plus a b).
Proof. induction a as [|x a IH]; intros [|y b]; try reflexivity. cbn. now rewrite IH. Qed.

Definition uniform (n : nat) (row : list choice) : Prop := Forall (fun c => length (terms c) = n) row.

Lemma extreme_max : forall n vectors v, Forall (fun a => length a = n) vectors -> In v vectors ->
  length (extreme Z.max vectors) = n /\ below v (extreme Z.max vectors).
Proof.
  intros n [|first rest] v U I; [destruct I|]. inversion U as [|? ? L V]; subst. unfold extreme.
  assert (G : forall l, Forall (fun a => length a = length first) l ->
    length (fold_right (zip Z.max) first l) = length first /\ below first (fold_right (zip Z.max) first l) /\
    forall a, In a l -> below a (fold_right (zip Z.max) first l)).
  { induction l as [|e l IH]; intros W; cbn [fold_right]; [repeat split; [apply below_refl | easy]|].
    inversion W as [|? ? K X]; subst. destruct (IH X) as (len & one & others).
    split; [|split].
    - apply zip_length; congruence.
    - apply below_trans with (1 := one). apply zip_max_r. congruence.
    - intros f [<-|J]; [apply zip_max_l; congruence|]. apply below_trans with (1 := others f J).
      apply zip_max_r. congruence. }
  destruct (G rest V) as (len & one & others). split; [assumption|]. destruct I as [<-|I]; auto.
Qed.

Lemma uniform_terms : forall n row, uniform n row -> Forall (fun a => length a = n) (map terms row).
Proof. intros. now rewrite Forall_map. Qed.

Lemma levels_length : forall n rows, Forall (uniform n) rows -> Forall (fun row => row <> []) rows ->
  length (most_of n (levels n rows)) = n /\ forall b, holding_of (levels n rows) = Some b -> length b = n.
Proof.
  induction rows as [|row rest IH]; intros U some; cbn [levels most_of holding_of].
  - split; [apply repeat_length | discriminate].
  - inversion U as [|? ? U1 U2]; subst. inversion some as [|? ? S1 S2]; subst.
    destruct (IH U2 S2) as [A B]. destruct row as [|c row]; [contradiction|].
    pose proof (uniform_terms _ _ U1) as V.
    pose proof (extreme_max n _ (terms c) V (or_introl eq_refl)) as [E _].
    set (largest := extreme Z.max (map terms (c :: row))) in *. cbn [most holding].
    split; [now apply zip_length|]. intros b.
    set (now_ := map _ _). set (later := match holding_of _ with None => [] | Some _ => _ end).
    assert (W : Forall (fun a => length a = n) (now_ ++ later)).
    { apply Forall_app. split.
      - unfold now_. rewrite Forall_map. apply Forall_forall. intros x I. apply filter_In in I.
        unfold uniform in U1. rewrite Forall_forall in U1. apply zip_length; [apply U1, I | assumption].
      - unfold later. destruct (holding_of (levels n rest)); constructor; [|constructor].
        apply zip_length; auto. }
    destruct (now_ ++ later) as [|v vectors] eqn:F; [discriminate|]. intros H. injection H as <-.
    now destruct (extreme_max n (v :: vectors) v W (or_introl eq_refl)).
Qed.

Lemma rows_not_empty : forall (rows : list (list choice)) cs, In cs (product rows) -> Forall (fun row => row <> []) rows.
Proof.
  intros rows cs I. apply in_product in I. induction I as [|c row cs rows J _ IH]; constructor; [|assumption].
  intros ->. destruct J.
Qed.

Lemma total_below : forall n rows, Forall (uniform n) rows -> forall cs seen sum, In cs (product rows) -> length sum = n ->
  seen || existsb is_m cs = true ->
  exists b, most_after n seen (levels n rows) = Some b /\ below (total sum cs) (plus sum b).
Proof.
  induction rows as [|row rest IH]; intros U cs seen sum I L H.
  - destruct I as [<-|[]]. cbn in H. rewrite orb_false_r in H. subst seen. exists (repeat 0 n). split; [reflexivity|].
    unfold total. cbn [fold_left]. rewrite plus_0 by assumption. apply below_refl.
  - pose proof (rows_not_empty _ _ I) as some. inversion some as [|? ? _ some']; subst.
    inversion U as [|? ? U1 U2]; subst. apply in_product in I. inversion I as [|c ? cs' ? J K]; subst.
    apply in_product in K. set (n := length sum) in *.
    destruct (extreme_max n _ (terms c) (uniform_terms _ _ U1) (in_map terms _ _ J)) as [len best].
    assert (T : length (terms c) = n) by (unfold uniform in U1; rewrite Forall_forall in U1; now apply U1).
    assert (Ls : length (plus sum (terms c)) = n) by now apply zip_length.
    destruct (levels_length n rest U2 some') as [A B].
    unfold total. cbn [fold_left]. fold (total (plus sum (terms c)) cs').
    destruct seen.
    + destruct (IH U2 cs' true (plus sum (terms c)) K Ls eq_refl) as (b & E & below_b).
      cbn in E. inversion E; subst b. clear E. eexists. split; [reflexivity|]. cbn [levels most_of most].
      apply below_trans with (1 := below_b). rewrite plus_assoc.
      apply plus_mono; [apply below_refl|]. apply plus_mono; [assumption | apply below_refl].
    + cbn [orb existsb] in H. unfold most_after. cbn [levels holding_of holding].
      set (now_ := map _ _). set (later := match holding_of _ with None => [] | Some _ => _ end).
      assert (W : Forall (fun a => length a = n) (now_ ++ later)).
      { apply Forall_app. split.
        - unfold now_. rewrite Forall_map. apply Forall_forall. intros x X. apply filter_In in X.
          unfold uniform in U1. rewrite Forall_forall in U1. apply zip_length; [apply U1, X | assumption].
        - unfold later. destruct (holding_of (levels n rest)); constructor; [|constructor]. apply zip_length; auto. }
      assert (G : exists v, In v (now_ ++ later) /\ below (total (plus sum (terms c)) cs') (plus sum v)).
      { destruct (is_m c) eqn:M.
        - destruct (IH U2 cs' true (plus sum (terms c)) K Ls eq_refl) as (b & E & below_b).
          cbn in E. inversion E; subst b. exists (plus (terms c) (most_of n (levels n rest))). split.
          + apply in_app_iff. left. unfold now_.
            apply (in_map (fun c => plus (terms c) (most_of n (levels n rest)))). apply filter_In. now split.
          + now rewrite <- plus_assoc.
        - destruct (IH U2 cs' false (plus sum (terms c)) K Ls H) as (b & E & below_b).
          unfold most_after in E. exists (plus (extreme Z.max (map terms row)) b). split.
          + apply in_app_iff. right. unfold later. rewrite E. left. reflexivity.
          + apply below_trans with (1 := below_b). rewrite plus_assoc.
            apply plus_mono; [apply below_refl|]. apply plus_mono; [assumption | apply below_refl]. }
      destruct G as (v & V & below_v). destruct (now_ ++ later) as [|first vectors] eqn:F; [destruct V|].
      eexists. split; [reflexivity|]. apply below_trans with (1 := below_v).
      apply plus_mono; [apply below_refl|]. now apply (extreme_max n).
Qed.

Definition accepted (seen : bool) (sum : list Z) (cs : list choice) : bool :=
  (seen || existsb is_m cs) && negative (total sum cs).

Definition refused (seen : bool) (sum : list Z) (doubts : Z) (tokens : list nat) (cs : list choice) : bool :=
  (seen || existsb is_m cs) && surely_wrong (rev (map token cs) ++ tokens) (total sum cs) (total_doubt doubts cs).

(** Bounds on what is found for each choice, whatever is left then, are bounds on the sums. *)
Lemma fold_found : forall (f : choice -> Z -> Z * Z * Z) (C W : choice -> Z) row c w left,
  (forall x l, In x row -> correct_of (f x l) <= C x /\ wrong_of (f x l) <= W x) ->
  let found := fold_left (fun found x =>
    let '(c0, w0, left0) := found in let '(c1, w1, left1) := f x left0 in (c0 + c1, w0 + w1, left1)) row (c, w, left) in
  correct_of found <= c + add_up (map C row) /\ wrong_of found <= w + add_up (map W row).
Proof.
  induction row as [|x row IH]; intros c w left each; cbn [fold_left map add_up]; [cbn; lia|].
  pose proof (each x left (or_introl eq_refl)) as [A B].
  destruct (f x left) as [[c1 w1] left1]. cbn in A, B.
  destruct (IH (c + c1) (w + w1) left1 ltac:(intros; apply each; now right)) as [D E]. cbn zeta in *. lia.
Qed.

Theorem walk_counts : forall n rows, Forall (uniform n) rows -> forall seen sum doubts tokens left, length sum = n ->
  correct_of (walk (levels n rows) seen sum doubts tokens left) <= count (accepted seen sum) rows /\
  wrong_of (walk (levels n rows) seen sum doubts tokens left) <= count (refused seen sum doubts tokens) rows.
Proof.
  induction rows as [|row rest IH]; intros U seen sum doubts tokens left L.
  - unfold accepted, refused, total, total_doubt, correct_of, wrong_of. cbn [levels walk count existsb fold_left map rev app].
    rewrite orb_false_r. destruct seen; cbn [andb]; [|cbn; lia].
    destruct (negative sum), (surely_wrong tokens sum doubts); cbn; lia.
  - pose proof (total_below n (row :: rest) U) as top. unfold most_after in top.
    cbn [levels] in *. inversion U as [|? ? U1 U2]; subst.
    set (after := levels (length sum) rest) in *.
    cbn [walk choices most least holding all_ways ways_holding most_of holding_of] in *.
    set (bound_on := if seen then _ else _). set (hold := match _ ++ _ with [] => None | _ => _ end) in *.
    assert (none : forall l, correct_of (0, 0, l) <= count (accepted seen sum) (row :: rest) /\
      wrong_of (0, 0, l) <= count (refused seen sum doubts tokens) (row :: rest))
      by (intros; split; apply count_nonneg).
    destruct bound_on as [b|] eqn:E; [|apply none].
    destruct (sum_negative sum b) eqn:settled.
    { unfold correct_of, wrong_of. cbn [fst snd]. split; [|apply count_nonneg].
      rewrite sum_negative_plus in settled.
      assert (every : forall cs, In cs (product (row :: rest)) -> seen || existsb is_m cs = true ->
        negative (total sum cs) = true).
      { intros cs I H. apply negative_below with (2 := settled).
        destruct (top cs seen sum I eq_refl H) as (b' & E' & below_b). unfold bound_on in E.
        rewrite E in E'. now inversion E'; subst. }
      unfold accepted. destruct seen.
      - rewrite ways_count. apply count_le. intros cs I _. now rewrite every.
      - rewrite ways_with_count. apply count_le. intros cs I J. rewrite J. now rewrite every. }
    destruct (quick && _); [apply none|]. cbv zeta. destruct (_ <? 0); [apply none|].
    cbn [count]. rewrite <- (Z.add_0_l (add_up (map (fun c => count (fun cs => accepted seen sum (c :: cs)) rest) row))).
    rewrite <- (Z.add_0_l (add_up (map (fun c => count (fun cs => refused seen sum doubts tokens (c :: cs)) rest) row))).
    apply (fold_found (fun c => walk after (seen || is_m c) (plus sum (terms c)) (doubts + doubt c) (token c :: tokens))).
    intros c left' I.
    assert (T : length (terms c) = length sum) by (unfold uniform in U1; rewrite Forall_forall in U1; now apply U1).
    destruct (IH U2 (seen || is_m c) (plus sum (terms c)) (doubts + doubt c) (token c :: tokens) left'
      ltac:(apply zip_length; auto)) as [A B].
    split; [apply Z.le_trans with (1 := A) | apply Z.le_trans with (1 := B)]; apply count_le; intros cs _.
    + unfold accepted. cbn [existsb]. rewrite orb_assoc. auto.
    + unfold refused. cbn [existsb map rev]. rewrite orb_assoc, <- app_assoc. auto.
Qed.
End Walk.
