(** Counting the members of products of lists, and what a count says about sequences. *)

From Coq Require Import ZArith List Lia Bool FinFun.
From Compact Require Import Spec.Model.
Import ListNotations.
Open Scope Z_scope.

Section Products.
Context {A : Type}.

(** One member of each row. *)
Fixpoint product (rows : list (list A)) : list (list A) :=
  match rows with
  | [] => [[]]
  | row :: rest => flat_map (fun c => map (cons c) (product rest)) row
  end.

Lemma in_product : forall rows cs, In cs (product rows) <-> Forall2 (fun c row => In c row) cs rows.
Proof.
  induction rows as [|row rest IH]; intros cs; simpl.
  - split; [intros [<-|[]]; constructor | inversion 1; auto].
  - rewrite in_flat_map. split.
    + intros (c & I & J). rewrite in_map_iff in J. destruct J as (cs' & <- & J). constructor; [assumption | now apply IH].
    + inversion 1 as [|c ? cs' ? I J]; subst. exists c. split; [assumption|]. apply in_map, IH, J.
Qed.

Fixpoint add_up (l : list Z) : Z := match l with [] => 0 | x :: rest => x + add_up rest end.

(** How many members of the product have the property. *)
Fixpoint count (P : list A -> bool) (rows : list (list A)) : Z :=
  match rows with
  | [] => if P [] then 1 else 0
  | row :: rest => add_up (map (fun c => count (fun cs => P (c :: cs)) rest) row)
  end.

Lemma filter_map : forall (B : Type) (f : B -> A) P l, filter P (map f l) = map f (filter (fun x => P (f x)) l).
Proof. induction l as [|x l IH]; simpl; [reflexivity|]. rewrite IH. now destruct (P (f x)). Qed.

End Products.

Section Counts.
Context {A : Type}.

Lemma count_filter : forall (rows : list (list A)) P, count P rows = Z.of_nat (length (filter P (product rows))).
Proof.
  induction rows as [|row rest IH]; intros P; simpl.
  - now destruct (P []).
  - induction row as [|c row IHrow]; simpl; [reflexivity|].
    rewrite filter_app, app_length, Nat2Z.inj_add, <- IHrow, IH, filter_map, map_length. reflexivity.
Qed.

Lemma count_nonneg : forall (rows : list (list A)) P, 0 <= count P rows.
Proof. intros. rewrite count_filter. lia. Qed.

Lemma add_up_le : forall (f g : A -> Z) l, (forall c, In c l -> f c <= g c) -> add_up (map f l) <= add_up (map g l).
Proof.
  induction l as [|c l IH]; intros below; simpl; [lia|].
  pose proof (below c (or_introl eq_refl)). assert (add_up (map f l) <= add_up (map g l)) by (apply IH; intros; apply below; now right). lia.
Qed.

Lemma count_le : forall (rows : list (list A)) P Q,
  (forall cs, In cs (product rows) -> P cs = true -> Q cs = true) -> count P rows <= count Q rows.
Proof.
  induction rows as [|row rest IH]; intros P Q implied; simpl.
  - specialize (implied [] (or_introl eq_refl)). destruct (P []); [rewrite implied; reflexivity || lia | destruct (Q []); lia].
  - apply add_up_le. intros c I. apply IH. intros cs J. apply implied. simpl. rewrite in_flat_map.
    exists c. split; [assumption | now apply in_map].
Qed.

(** ** All members, and those that hold something *)

Fixpoint ways (rows : list (list A)) : Z :=
  match rows with [] => 1 | row :: rest => Z.of_nat (length row) * ways rest end.

Lemma ways_count : forall rows : list (list A), ways rows = count (fun _ => true) rows.
Proof.
  induction rows as [|row rest IH]; [reflexivity|]. cbn [ways count]. rewrite IH.
  generalize (count (fun _ : list A => true) rest). intros n.
  induction row as [|c row IHrow]; [reflexivity|]. cbn [map add_up length]. rewrite <- IHrow. lia.
Qed.

Variable special : A -> bool.

Fixpoint ways_with (rows : list (list A)) : Z :=
  match rows with
  | [] => 0
  | row :: rest =>
      let holding := Z.of_nat (length (filter special row)) in
      holding * ways rest + (Z.of_nat (length row) - holding) * ways_with rest
  end.

Lemma ways_with_count : forall rows : list (list A), ways_with rows = count (existsb special) rows.
Proof.
  induction rows as [|row rest IH]; [reflexivity|]. cbn [ways_with count]. rewrite IH, ways_count.
  assert (E : forall c, count (fun cs => existsb special (c :: cs)) rest =
    if special c then count (fun _ => true) rest else count (existsb special) rest)
    by (intros c; cbn [existsb]; now destruct (special c)).
  induction row as [|c row IHrow]; [reflexivity|].
  cbn [map add_up length filter]. rewrite E, <- IHrow. destruct (special c); cbn [length]; lia.
Qed.
End Counts.

(** ** From counts to sequences *)

Lemma NoDup_app_disjoint : forall (A : Type) (a b : list A),
  NoDup a -> NoDup b -> (forall x, In x a -> ~ In x b) -> NoDup (a ++ b).
Proof.
  induction a as [|x a IH]; intros b U V apart; simpl; [assumption|]. inversion U; subst. constructor.
  - rewrite in_app_iff. intros [I|I]; [contradiction | now apply (apart x (or_introl eq_refl))].
  - apply IH; auto. intros y I. apply apart. now right.
Qed.

Lemma product_NoDup : forall (A : Type) (rows : list (list A)), Forall (@NoDup A) rows -> NoDup (product rows).
Proof.
  induction rows as [|row rest IH]; intros all; simpl; [constructor; [easy | constructor]|].
  inversion all as [|? ? U V]; subst. specialize (IH V). clear all V.
  induction row as [|c row IHrow]; simpl; [constructor|]. inversion U; subst.
  apply NoDup_app_disjoint; [|now apply IHrow|].
  - apply Injective_map_NoDup; [intros x y; congruence | assumption].
  - intros cs I J. rewrite in_map_iff in I. destruct I as (cs' & <- & _).
    rewrite in_flat_map in J. destruct J as (c' & J & K). rewrite in_map_iff in K. destruct K as (? & E & _).
    congruence.
Qed.

Lemma product_map : forall (A B : Type) (f : A -> B) rows, map (map f) (product rows) = product (map (map f) rows).
Proof.
  induction rows as [|row rest IH]; [reflexivity|]. simpl. rewrite <- IH. clear IH.
  induction row as [|c row IHrow]; [reflexivity|]. simpl. rewrite map_app, IHrow, !map_map. reflexivity.
Qed.

Lemma NoDup_map_filter : forall (A B : Type) (f : A -> B) P l, NoDup (map f l) -> NoDup (map f (filter P l)).
Proof.
  induction l as [|x l IH]; intros U; simpl; [constructor|]. inversion U; subst.
  destruct (P x); [simpl; constructor|]; auto.
  intros I. rewrite in_map_iff in I. destruct I as (y & E & J). apply filter_In in J.
  match goal with H : ~ In _ _ |- _ => apply H end. rewrite <- E. apply in_map, J.
Qed.

Lemma at_least_0 : forall n P, n <= 0 -> at_least n P.
Proof. intros. exists []. repeat split; [constructor | constructor | simpl; lia]. Qed.

Lemma at_least_weaken : forall n n' (P Q : list nat -> Prop),
  at_least n P -> n' <= n -> (forall t, P t -> Q t) -> at_least n' Q.
Proof.
  intros n n' P Q (ts & U & all & many) less weaker. exists ts. repeat split; [assumption | | lia].
  revert all. apply Forall_impl, weaker.
Qed.

(** Of a product of rows of different tokens, put before the query. *)
Lemma at_least_count : forall (A : Type) (token : A -> nat) rows query (P : list A -> bool) (Q : list nat -> Prop) n,
  Forall (fun row => NoDup (map token row)) rows ->
  (forall cs, In cs (product rows) -> P cs = true -> Q (map token cs ++ [query])) ->
  n <= count P rows -> at_least n Q.
Proof.
  intros A token rows query P Q n U implies below.
  exists (map (fun cs => map token cs ++ [query]) (filter P (product rows))). repeat split.
  - rewrite <- (map_map (map token) (fun ts => ts ++ [query])).
    apply Injective_map_NoDup; [intros x y E; now apply app_inj_tail in E|].
    apply NoDup_map_filter. rewrite product_map. apply product_NoDup. now rewrite Forall_map.
  - rewrite Forall_map. apply Forall_forall. intros cs I. apply filter_In in I. now apply implies.
  - rewrite map_length. now rewrite <- count_filter.
Qed.
